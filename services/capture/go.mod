module github.com/rtap/rtap/services/capture

go 1.26
