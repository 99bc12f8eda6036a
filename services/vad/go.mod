module github.com/rtap/rtap/services/vad

go 1.26
