module github.com/rtap/rtap/services/egress

go 1.26
