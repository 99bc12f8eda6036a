// Package compose tests the container stack as an operator runs it: deploy.sh,
// docker-compose, and the commands of the operations manual. It needs a Docker or Podman
// engine with docker-compose, the ports of the manual, and some twenty minutes:
//
//	make e2e-compose
package compose
