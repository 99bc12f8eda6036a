module github.com/rtap/rtap/cmd/rtap

go 1.26
