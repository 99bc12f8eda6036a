module github.com/rtap/rtap/services/stt

go 1.26
