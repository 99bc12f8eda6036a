module github.com/rtap/rtap/proto

go 1.26.0

require google.golang.org/protobuf v1.36.12
