module github.com/rtap/rtap/test

go 1.26
