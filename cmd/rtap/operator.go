package main

import (
	"slices"
	"strings"
)

// operator lets a command come to the bus as the user operator (deploy/nats/users.conf)
// where RTAP_OPERATOR_PASSWORD is set: in a gateway's container, whose own user may do less.
func operator(environ []string) []string {
	for _, kv := range environ {
		if password, ok := strings.CutPrefix(kv, "RTAP_OPERATOR_PASSWORD="); ok && password != "" {
			return append(slices.Clone(environ),
				"RTAP_NATS__USER=operator", "RTAP_NATS__PASSWORD="+password, "RTAP_NATS__INBOX_PREFIX=_INBOX_operator")
		}
	}
	return environ
}
