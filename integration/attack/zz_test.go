package attack
import ("testing";"time";"fmt";"strings";"github.com/authenticated-api/caddy-authenticated-api/internal/rig")
func TestZZ(t *testing.T){
	api := rig.NewAPI(t, func(request string) string {
			uri := strings.Fields(request)[1]
			switch {
			case strings.Contains(uri, "/close"):
				return ""
			case strings.Contains(uri, "/hint"):
				return "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" + rig.OK(uri)
			case strings.Contains(uri, "/chunked"):
				return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
			case strings.Contains(uri, "/cut"):
				return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nshort"
			case strings.Contains(uri, "/bad"):
				return "no HTTP\r\n\r\n"
			}
			return rig.OK(uri)
	})
	g := start(t, "", "authenticated_api http://"+api.Addr+"/v1 {\nauth bearer x\n}")
	for _, c := range clients(t, g) {
		for _, k := range []string{"ok","hint","chunked","close","cut","bad"} {
			for _, m := range []string{"GET","POST"} {
			b := ""
			if m == "POST" { b = "hello" }
			s := time.Now()
			r := c.do(request{method:m, target:"/"+k, body: b})
			fmt.Println(c.name(), k, m, time.Since(s), r.status, r.err)
			}
		}
	}
}
