module github.com/rtap/rtap/pkg

go 1.26
