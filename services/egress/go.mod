module github.com/rtap/rtap/services/egress

go 1.26.0

require (
	github.com/rtap/rtap/pkg v0.0.0
	github.com/rtap/rtap/proto v0.0.0
)

require (
	github.com/gorilla/websocket v1.5.3 // indirect
	github.com/pebbe/zmq4 v1.4.0 // indirect
)

replace github.com/rtap/rtap/proto => ../../proto

replace github.com/rtap/rtap/pkg => ../../pkg
