module github.com/rtap/rtap/test

go 1.26.0

require (
	github.com/rtap/rtap/pkg v0.0.0
	github.com/rtap/rtap/proto v0.0.0
)

replace github.com/rtap/rtap/proto => ../proto

replace github.com/rtap/rtap/pkg => ../pkg
