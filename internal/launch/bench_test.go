package launch_test

import (
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
)

// BenchmarkStart measures how long it takes from a warm cache until a server answers, and until it is gone.
func BenchmarkStart(b *testing.B) {
	three := []launch.Options{{Engine: launch.MariaDB1011}, {Engine: launch.MariaDB1011}, {Engine: launch.MariaDB118}}
	cases := map[string][]launch.Options{"three-mariadb": three}
	for _, e := range launch.Engines() {
		cases[string(e)] = []launch.Options{{Engine: e}}
	}
	quiet := func(string) {}
	for name, options := range cases {
		b.Run(name, func(b *testing.B) {
			for i := range options {
				options[i].Progress = quiet
			}
			for b.Loop() {
				servers := launchtest.Start(b, options...)
				b.StopTimer()
				for _, s := range servers {
					if err := s.Stop(); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
			}
		})
	}
}
