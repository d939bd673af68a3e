// Command k6 is Grafana k6, unchanged. Its own module can not be installed by `go install`, so this one requires it.
package main

import "go.k6.io/k6/v2/cmd"

func main() {
	cmd.Execute()
}
