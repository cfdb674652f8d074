package launch

import "context"

// StartOutliving starts a server that does not die with its launcher, as all servers are where there is no parent death
// signal, so that there is something to reap.
func StartOutliving(ctx context.Context, o Options) (*Server, error) {
	return start(ctx, o, outlivesLauncher)
}

// Internals that tests look at.
var (
	ParseOneLine = parseOneLine
	ParseDeb822  = parseDeb822
	ProcessStart = processStart
)

// MirrorURIs returns the addresses of the mirrors below etc, likeliest first.
func MirrorURIs(etc string) ([]string, error) {
	mirrors, err := debianMirrors(etc)
	uris := make([]string, 0, len(mirrors))
	for _, m := range mirrors {
		uris = append(uris, m.uri)
	}
	return uris, err
}
