// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLifetime: what reads as a number is a lifetime; anything else, zero, negative or above
// ten years counts as absent, and never loses the token.
func TestLifetime(t *testing.T) {
	const hour, tenYears = time.Hour, 3650 * 24 * time.Hour
	for raw, want := range map[string]time.Duration{
		`3600`: hour, `"3600"`: hour, `"3600 "`: hour, `" 3600"`: hour, `"\t3600\n"`: hour,
		`3600.0`: hour, `"3600.0"`: hour, `1e3`: 1000 * time.Second, `"1e3"`: 1000 * time.Second, `1E+3`: 1000 * time.Second,
		`36000e-1`: hour, `"+3600"`: hour, `"03600"`: hour, `1`: time.Second, `5`: 5 * time.Second,
		`0.5`: time.Second / 2, `".5"`: time.Second / 2, `"5."`: 5 * time.Second, `59.999`: 59999 * time.Millisecond,

		`true`: 0, `false`: 0, `null`: 0, `""`: 0, `" "`: 0, `[]`: 0, `{}`: 0, `[3600]`: 0, `{"s":3600}`: 0, `"null"`: 0, `"true"`: 0,
		`0`: 0, `-0`: 0, `0.0`: 0, `"0"`: 0, `-5`: 0, `"-5"`: 0, `-9999999999`: 0, `-1e999`: 0,
		`9223372036854775808`: 0, `"9223372036854775808"`: 0, `1e400`: 0, `"1e400"`: 0, `1e17`: 0,
		`315360000`: tenYears, `"315360000"`: tenYears, `315360001`: 0, `315360000.5`: 0, `315359999`: tenYears - time.Second,
		`"NaN"`: 0, `"nan"`: 0, `"Infinity"`: 0, `"Inf"`: 0, `"-Inf"`: 0, `"0x10"`: 0, `"0b1"`: 0, `"0x1p4"`: 0, `"0X1P4"`: 0, `"1_000"`: 0, `"0o7"`: 0, `"1h"`: 0,
		`"3600s"`: 0, `"3,600"`: 0, `"3600;"`: 0, `"36 00"`: 0, `"e3"`: 0, `"１２"`: 0, `"2026-11-23T00:00:00Z"`: 0, `"3600\u0000"`: 0,
		`1e-400`: 0, `1e-12`: 0, // not even a nanosecond: as good as zero
	} {
		a, err := parseAnswer([]byte(`{"access_token":"t","expires_in":` + raw + `,"refresh_token":"r"}`))
		if err != nil || a.AccessToken != "t" || a.RefreshToken != "r" {
			t.Errorf("%s: the token is lost: %+v, %v", raw, a, err)
			continue
		}
		if a.Lifetime != want {
			t.Errorf("%s: %v, want %v", raw, a.Lifetime, want)
		}
	}
	// No JSON: what reads as a number is one all the same, and what stands behind it counts.
	for raw, want := range map[string]time.Duration{
		`NaN`: 0, `Infinity`: 0, `0x10`: 0, `+5`: 5 * time.Second, `.5`: time.Second / 2, `5.`: 5 * time.Second, `01`: time.Second, `'3600'`: 0, ``: 0,
		`undefined`: 0, `None`: 0, `3_600`: 0,
	} {
		a, err := parseAnswer([]byte(`{"access_token":"t","expires_in":` + raw + `,"refresh_token":"r"}`))
		if err != nil || a.AccessToken != "t" || a.RefreshToken != "r" || a.Lifetime != want {
			t.Errorf("%s: %+v, %v", raw, a, err)
		}
	}
	for raw, want := range map[string]bool{`0`: true, `-0`: true, `"0"`: true, `-5`: true, `"-5"`: true, `1`: false, `null`: false, `""`: false, `"x"`: false, `1e400`: false} {
		if a, err := parseAnswer([]byte(`{"access_token":"t","expires_in":` + raw + `}`)); err != nil || a.Expired != want {
			t.Errorf("%s: %+v, %v", raw, a, err)
		}
	}
	if a, err := parseAnswer([]byte(`{"access_token":"t"}`)); err != nil || a.Lifetime != 0 {
		t.Errorf("without expires_in: %+v, %v", a, err)
	}
}

// TestShapes: one document, exact names, the first of two.
func TestShapes(t *testing.T) {
	for body, want := range map[string]string{
		`{"access_token":"a"}`:                                            "a",
		"\xef\xbb\xbf{\"access_token\":\"a\"}":                            "a", // a byte order mark, from Windows servers
		" \r\n\t{ \"access_token\" : \"a\" }\n":                           "a",
		`{"access_token":"a","Access_Token":"b"}`:                         "a",
		`{"Access_Token":"b","access_token":"a"}`:                         "a",
		`{"Access_Token":"b"}`:                                            "",
		`{"ACCESS_TOKEN":"b"}`:                                            "",
		`{"access_token ":"b"}`:                                           "",
		"{\"acce\u017f\u017f_token\":\"b\"}":                              "", // long s: equal when folded
		`{"access_token":"a","access_token":"b"}`:                         "a",
		`{"access_token":"a","access_token":null}`:                        "a",
		`{"acc\u0065ss_token":"a"}`:                                       "a",
		`{"access_token":"\u0061"}`:                                       "a",
		`{"data":{"access_token":"b"}}`:                                   "",
		`{"access_token":"a","x":{"access_token":"b"}}`:                   "a",
		`{"access_token":["a"]}`:                                          "",
		`{"access_token":{"a":"b"}}`:                                      "",
		`{"access_token":1}`:                                              "",
		`{"access_token":null}`:                                           "",
		`{"access_token":true}`:                                           "",
		`{"access_token":""}`:                                             "",
		`{"access_token":"a","expires_in":3600,"token_type":"x"}`:         "a",
		`{"access_token":"a","token_type":{"a":[1]},"scope":7}`:           "a",
		`{"access_token":"a","error":null}`:                               "a",
		`access_token=a&expires_in=3600`:                                  "a",
		`access_token=a&access_token=b`:                                   "a",
		`Access_Token=b&access_token=a`:                                   "a",
		`access_token=a%2Bb`:                                              "a+b",
		`{"access_token":"~!#$%&'()*+,-./:;<=>?@[\\]^_` + "`" + `{|}\""}`: "~!#$%&'()*+,-./:;<=>?@[\\]^_`{|}\"",
		`{"access_token":"` + strings.Repeat("a", 60_000) + `"}`:          strings.Repeat("a", 60_000),
		`{"access_token":"a","x":` + nested(100) + `}`:                    "a",
	} {
		a, err := parseAnswer([]byte(body))
		if err != nil || a.AccessToken != want || a.errorCode != "" {
			t.Errorf("%.80q: %.80q, error %q, %v", body, a.token(), a.code(), err)
		}
	}
	for _, body := range []string{
		"", " ", "\xef\xbb\xbf", "null", "true", "7", `"access_token"`, `[]`, "{", `{"access_token"}`, `{,"access_token":"b"}`, `{access_token:"b"}`,
		`{'access_token':'b'}`, nested(10_000), nested(100_000), `{"access_token":` + strings.Repeat("[", 60_000), strings.Repeat("{", 60_000),
		`<html><body>access_token</body></html>`, `<?xml version="1.0"?><access_token>b</access_token>`, "ok", "foo=bar",
		"access_token;error=x", "\xff\xfe{\x00}\x00", `<script>{"a":{"access_token":1}</script>`[:20],
	} {
		if a, err := parseAnswer([]byte(body)); err == nil {
			t.Errorf("%.80q: %+v", body, a)
		}
	}
	// What cannot be sent is no token, and takes nothing else along.
	for _, body := range []string{
		"{\"access_token\":\"b\n\",\"refresh_token\":\"r\"}", "{\"access_token\":\"b\xff\",\"refresh_token\":\"r\"}",
		`{"access_token":"b\x41","refresh_token":"r"}`, `{"access_token":" b","refresh_token":"r"}`, `{"access_token":"b ","refresh_token":"r"}`,
		`{"access_token":"\u007f","refresh_token":"r"}`, `{"access_token":"b\tc","refresh_token":"r"}`, `access_token=%zz&refresh_token=r&error=`,
	} {
		if a, err := parseAnswer([]byte(body)); err != nil || a.AccessToken != "" || a.RefreshToken != "r" {
			t.Errorf("%.80q: %+v, %v", body, a, err)
		}
	}
	if a, err := parseAnswer([]byte("{}")); err != nil || a.AccessToken != "" {
		t.Errorf("{}: %+v, %v", a, err)
	}
}

func (a *Answer) token() string {
	if a == nil {
		return "no answer"
	}
	return a.AccessToken
}

func (a *Answer) code() string {
	if a == nil {
		return "no answer"
	}
	return a.errorCode
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// TestTokenBytes: only visible ASCII and blanks can be sent, and no blank at an end. A token
// of other bytes is none; one that is not needed does not lose the one that is.
func TestTokenBytes(t *testing.T) {
	for _, bad := range []string{"\r", "\n", "\r\nX-Evil: 1", "\x00", "\x7f", " ", "\t", "é", "\u0080", "\u2028", "日本", "\ufeff", "\x1b", "\ufffd"} {
		for _, val := range []string{bad, "a" + bad, bad + "b", "a" + bad + "b"} {
			for i, field := range []string{"access_token", "refresh_token", "id_token"} {
				fields := map[string]string{"access_token": "a", "refresh_token": "r", "id_token": "i"}
				fields[field] = val
				// Escaped as JSON has it, and as it stands where JSON allows that.
				for _, format := range []string{"%+q", "%q"} {
					body := fmt.Sprintf(`{"access_token":`+format+`,"refresh_token":`+format+`,"id_token":`+format+`,"expires_in":3600}`,
						fields["access_token"], fields["refresh_token"], fields["id_token"])
					body = strings.NewReplacer(`\x`, `\u00`, `\a`, `\u0007`).Replace(body)
					a, err := parseAnswer([]byte(body))
					if err != nil {
						t.Fatalf("%s: %v", body, err)
					}
					got := []string{a.AccessToken, a.RefreshToken, a.IDToken}
					want := []string{"a", "r", "i"}
					if want[i] = ""; val == "a b" {
						want[i] = val
					}
					if strings.Join(got, ",") != strings.Join(want, ",") || a.Lifetime != time.Hour {
						t.Errorf("%s: %q", body, got)
					}
				}
			}
		}
	}
}

// TestHarmlessBytes: only what is used is judged. A rotated refresh token must not be lost for
// anything else in the answer.
func TestHarmlessBytes(t *testing.T) {
	const good = `"access_token":"a b","refresh_token":"r","expires_in":60`
	for _, body := range []string{
		"{" + good + ",\"name\":\"Jos\xe9\"}",                                                                              // Latin-1, from ORCID
		"{\"name\":\"Jos\xe9\"," + good + "}",                                                                              // and in front
		"{\"na\xefme\":1," + good + "}",                                                                                    // in a name
		"{\"bio\":\"two\nlines\tand a tab\x00\"," + good + "}",                                                             // control characters
		`{"bio":"it\'s 5\% of C:\dir",` + good + "}",                                                                       // unknown escapes
		`{"error":0,` + good + "}", `{"error":[],` + good + "}", `{"error":{},` + good + "}", `{"error":"0",` + good + "}", // Zalo
		`{"error":0.0,` + good + "}", `{"error":"null",` + good + "}", `{"error":" ",` + good + "}", `{"error":"False",` + good + "}",
		"{" + good + ",}", "{" + good + ",\"x\":undefined}", "{" + good + ",x:1}", "{" + good, "{" + good + `,"cut":"he`,
		"{" + good + `,"x":` + nested(10_001) + "}", "{" + good + "} {}", "{" + good + "}</html>", "{" + good + "}\x00",
		"<br />\n<b>Warning</b>: {main} on line <b>7</b><br />\n{" + good + "}", // PHP's display_errors
		")]}',\n{" + good + "}", "/**/callback({" + good + "});", "[{" + good + "}]", "\xef\xbb\xbf\xef\xbb\xbf{" + good + "}",
		"access_token=a+b&refresh_token=r&expires_in=60&name=Jos%e9%zz", "access_token=a+b&refresh_token=r&expires_in=60&x=1;y=2",
		`{"token_type":7,"scope":{"a":[1]},` + good + "}",
		`{"home":"C:\users\x\u12",` + good + "}",                                        // an escape that is none
		`{"score":NaN,"max":-Infinity,"x":undefined,"y":[NaN,{"z":None}],` + good + "}", // Python, JavaScript
		`{"bio":"the "best"",` + good + "}",
		"{main} {" + good + "}", "{} {" + good + "}", `{"debug":{"access_token":"evil"}}` + "\n{" + good + "}",
		`<a href="/?a=1&error=x&access_token=evil">log</a>{` + good + "}",
	} {
		a, err := parseAnswer([]byte(body))
		if err != nil || a.AccessToken != "a b" || a.RefreshToken != "r" || a.Lifetime != time.Minute || a.errorCode != "" {
			t.Errorf("%.90q: %+v, %v", body, a, err)
		}
	}
}

// TestNested: what stands in another object, in a text or in a page is no answer, whatever is
// around it.
func TestNested(t *testing.T) {
	const evil = `{"access_token":"evil","refresh_token":"evil"}`
	for _, body := range []string{
		`{"profile":` + evil + `}`, `<b>Notice</b> {"profile":` + evil + `}`, `[{"profile":` + evil + `}]`,
		`<b>Notice</b> {"name":"x" "profile":` + evil, `{"profile":[` + evil + `],"x`, `x {"profile":{"y":` + evil + `,]`,
		`{"name":"{\"access_token\":\"evil\"}"}`, `<p>{"name":"{\"access_token\":\"evil\"}"}`,
		`<a href="/?a=1&access_token=evil&refresh_token=evil">`, `<a href="?x&error=invalid_grant&y">`,
	} {
		if a, _ := parseAnswer([]byte(body)); a != nil && (a.AccessToken != "" || a.RefreshToken != "" || a.errorCode != "") {
			t.Errorf("%s: %+v", body, a)
		}
	}
}

// TestBelieved: only a success brings tokens, and one that brings a token is one.
func TestBelieved(t *testing.T) {
	for _, tt := range []struct {
		status     int
		body       string
		idToken    bool
		sent, kept string // the token that is sent, and the refresh token
	}{
		{200, `{"access_token":"a","refresh_token":"r"}`, false, "a", "r"},
		{201, `{"access_token":"a","refresh_token":"r","error":"x"}`, false, "a", "r"},
		{200, `{"refresh_token":"r"}`, false, "", ""}, // such as {"message":"failed","refresh_token":"is required"}
		{200, `{"status":"failed","refresh_token":"****","access_token":null}`, false, "", ""},
		{200, `{"access_token":"\n","refresh_token":"r"}`, false, "", "r"}, // issued, and cannot be sent
		{200, `{"refresh_token":"r","access_to`, false, "", "r"},
		{200, `grant_type=refresh_token&refresh_token=r`, false, "", ""},
		{200, `access_token=%0a&refresh_token=r`, false, "", "r"},
		{200, `{"refresh_token":"r","error":"x"}`, false, "", ""},
		{200, `{"id_token":"i","refresh_token":"r"}`, true, "i", "r"},
		{200, `{"access_token":"a","refresh_token":"r"}`, true, "", "r"},
		{200, `{"access_token":"a","refresh_token":"r","error":"x"}`, true, "", ""},
		{400, `{"access_token":"a","refresh_token":"r"}`, false, "", ""},
		{403, `{"refresh_token":"blocked-by-waf"}`, false, "", ""},
		{422, `{"message":"validation failed","refresh_token":"invalid"}`, false, "", ""},
		{500, `{"grant_type":"refresh_token","refresh_token":"********"}`, false, "", ""},
		{302, `refresh_token=r&access_token=a`, false, "", ""},
	} {
		a, err := parseAnswer([]byte(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.believed(tt.status, tt.idToken); got.sent(tt.idToken) != tt.sent || got.RefreshToken != tt.kept || got.errorCode != a.errorCode {
			t.Errorf("%d %s: %+v", tt.status, tt.body, got)
		}
	}
}

// TestErrorCode: the error code is what a provider writes into our log and into answers to
// callers.
func TestErrorCode(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":"invalid_client"}`:                              "invalid_client",
		`{"error":"invalid_client","access_token":"a"}`:           "invalid_client",
		`{"access_token":"a","error":"x"}`:                        "x",
		`{"error":"<script>\r\n\"alert"}`:                         "scriptalert",
		`{"error":"\u0000"}`:                                      "unnamed",
		`{"error":{"message":"no","code":1}}`:                     "unnamed",
		`{"error":["x"]}`:                                         "unnamed",
		`{"error":400}`:                                           "unnamed",
		`{"error":true}`:                                          "unnamed",
		`{"error":"invalid_grant: Token is expired or invalid."}`: "invalid_grant", // EVE Online
		`{"error":":"}`:                                           "unnamed",
		`{"error":0}`:                                             "",
		`{"error":[]}`:                                            "",
		`{"error":{}}`:                                            "",
		`{"error":"0"}`:                                           "",
		`{"error":[0]}`:                                           "unnamed",
		`{"error":-1}`:                                            "unnamed",
		`{"error":"` + strings.Repeat("é", 100) + `"}`:            "unnamed",
		`{"error":"` + strings.Repeat("x", 100) + `"}`:            strings.Repeat("x", 64),
		`{"error":"temporarily_unavailable","error":"other"}`:     "temporarily_unavailable",
		`{"Error":"invalid_client"}`:                              "",
		`{"error":null}`:                                          "",
		`{"error":""}`:                                            "", // as golang.org/x/oauth2 has it: nothing is said
		`{"access_token":"a","error":""}`:                         "",
		`{"access_token":"a","error":false}`:                      "",
		`error=invalid_client&error_description=x`:                "invalid_client",
		`access_token=a&error=invalid_client`:                     "invalid_client",
		`access_token=a&error=`:                                   "",
	} {
		a, err := parseAnswer([]byte(body))
		if err != nil || a.errorCode != want {
			t.Errorf("%s: %q, want %q, %v", body, a.code(), want, err)
		}
	}
}

// TestRefreshLifetime: each name, in each form, and what says that there is no end.
func TestRefreshLifetime(t *testing.T) {
	for body, want := range map[string]time.Duration{
		`{"access_token":"a","refresh_expires_in":1800}`:                               30 * time.Minute,
		`{"access_token":"a","refresh_token_expires_in":"15897600"}`:                   15897600 * time.Second,
		`{"access_token":"a","x_refresh_token_expires_in":8726400.0}`:                  8726400 * time.Second,
		`{"access_token":"a","refresh_expires_in":1800,"refresh_token_expires_in":60}`: time.Minute,
		`{"access_token":"a","refresh_expires_in":0,"refresh_token_expires_in":60}`:    time.Minute,
		`{"access_token":"a","refresh_expires_in":0}`:                                  0, // Keycloak, of an offline token
		`{"access_token":"a","refresh_expires_in":-1}`:                                 0,
		`{"access_token":"a","refresh_expires_in":null}`:                               0,
		`{"access_token":"a","refresh_expires_in":"soon"}`:                             0,
		`{"access_token":"a","Refresh_Expires_In":60}`:                                 0,
		`{"access_token":"a","refresh_expires_in":1e300}`:                              0,
		`{"access_token":"a"}`:                                                         0,
		`access_token=a&refresh_token_expires_in=60`:                                   time.Minute,
	} {
		if got, err := parseAnswer([]byte(body)); err != nil || got.RefreshLifetime != want {
			t.Errorf("%s: %v, %v", body, got.RefreshLifetime, err)
		}
	}
}
