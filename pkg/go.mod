module github.com/rtap/rtap/pkg

go 1.26.0

require (
	github.com/rtap/rtap/proto v0.0.0
	go.uber.org/goleak v1.3.0
	go.yaml.in/yaml/v3 v3.0.6
	golang.org/x/sys v0.49.0
	google.golang.org/protobuf v1.36.12
)

replace github.com/rtap/rtap/proto => ../proto
