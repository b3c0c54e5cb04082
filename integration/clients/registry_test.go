// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/bcrypt"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// distribution is Debian's docker-registry, the reference implementation. Its API is at the root
// of a host always.
func distribution(t *testing.T) service {
	path := program(t, "docker-registry", "Debian's package docker-registry has it")
	return service{
		start: func(t *testing.T) string {
			w := newWorld(t)
			hash, err := bcrypt.GenerateFromPassword([]byte(key), bcrypt.MinCost)
			if err != nil {
				t.Fatal(err)
			}
			w.write(t, "htpasswd", "ann:"+string(hash)+"\n")
			addr := rig.Free(t)
			config := w.write(t, "config.yml", fmt.Sprintf("version: 0.1\nlog:\n  level: warn\nstorage:\n"+
				"  filesystem:\n    rootdirectory: %s\n  delete:\n    enabled: true\nhttp:\n  addr: %s\n"+
				"auth:\n  htpasswd:\n    realm: registry\n    path: %s\n", filepath.Join(w.dir, "data"), addr, filepath.Join(w.dir, "htpasswd")))
			w.begin(t, addr, path, "serve", config)
			return "http://" + addr
		},
		lines: "auth basic ann " + key,
		forms: []form{atRoot},
	}
}

// memory is the registry of go-containerregistry, whose Locations are paths.
func memory() service {
	return service{
		start: func(t *testing.T) string {
			return serve(t, guarded("Authorization", basic("ann", key), registry.New(registry.Logger(log.New(io.Discard, "", 0)))))
		},
		lines: "auth basic ann " + key,
		forms: []form{atRoot},
	}
}

// TestSkopeo pushes, looks at, copies and deletes an image.
func TestSkopeo(t *testing.T) {
	skopeo := program(t, "skopeo", "Debian's package skopeo has it")
	for name, s := range map[string]service{"distribution": distribution(t), "memory": memory()} {
		t.Run(name, func(t *testing.T) {
			compare(t, "skopeo", s, func(t *testing.T, w way) transcript { return useSkopeo(t, skopeo, w) })
		})
	}
}

func useSkopeo(t *testing.T, skopeo string, w way) transcript {
	c := newWorld(t)
	c.write(t, ".config/containers/policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
	ociLayout(t, c, "image")
	var tr transcript
	do := func(name, command string, args ...string) {
		all := []string{command}
		for _, side := range map[string][]string{"copy": {"--src-", "--dest-"}, "sync": {"--src-", "--dest-"}}[command] {
			all = append(all, side+"tls-verify=false")
			if w.direct() {
				all = append(all, side+"creds=ann:"+key)
			}
		}
		if command != "copy" {
			all = append(all, "--tls-verify=false")
			if w.direct() {
				all = append(all, "--creds=ann:"+key)
			}
		}
		out, err := c.run(t, "", skopeo, append(all, args...)...)
		tr.note(name, strings.TrimSpace(out), err)
	}
	image := "docker://" + w.host() + "/lib/image"
	do("push", "copy", "-q", "oci:image:v1", image+":v1")
	do("look at it", "inspect", "--format", "{{.Digest}} {{.Layers}} {{.RepoTags}}", image+":v1")
	do("look at its configuration", "inspect", "--config", image+":v1")
	do("copy within the registry", "copy", "-q", image+":v1", "docker://"+w.host()+"/other/image:v2")
	do("pull", "copy", "-q", image+":v1", "oci:back:v1")
	do("list the tags", "list-tags", image)
	do("delete", "delete", "docker://"+w.host()+"/other/image:v2")
	return tr
}

// ociLayout writes an image of two layers, the same each time.
func ociLayout(t *testing.T, w world, dir string) {
	t.Helper()
	blob := func(text string) string {
		digest := sha256Hex(text)
		w.write(t, filepath.Join(dir, "blobs/sha256", digest), text)
		return fmt.Sprintf(`"digest":"sha256:%s","size":%d`, digest, len(text))
	}
	one, two := tarball(t, "one", noise(100)), tarball(t, "two", noise(6<<20))
	config := blob(fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}`,
		sha256Hex(one), sha256Hex(two)))
	manifest := blob(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[`+
		`{"mediaType":"application/vnd.oci.image.layer.v1.tar",%s},{"mediaType":"application/vnd.oci.image.layer.v1.tar",%s}]}`,
		config, blob(one), blob(two)))
	w.write(t, filepath.Join(dir, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
	w.write(t, filepath.Join(dir, "index.json"), fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":`+
		`"application/vnd.oci.image.manifest.v1+json",%s,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`, manifest))
}

// TestContainerRegistryClient uses the client of go-containerregistry, which crane and ko are
// made of.
func TestContainerRegistryClient(t *testing.T) {
	for name, s := range map[string]service{"distribution": distribution(t), "memory": memory()} {
		t.Run(name, func(t *testing.T) { compare(t, "crane", s, useContainerRegistry) })
	}
}

func useContainerRegistry(t *testing.T, w way) transcript {
	var tr transcript
	opts := []remote.Option{remote.WithContext(t.Context())}
	if w.direct() {
		opts = append(opts, remote.WithAuth(&authn.Basic{Username: "ann", Password: key}))
	}
	ref, err := name.ParseReference(w.host()+"/lib/image:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := random.Image(100_000, 3, random.WithSource(fixed()))
	if err != nil {
		t.Fatal(err)
	}
	tr.note("push", "", remote.Write(ref, img, opts...))
	got, err := remote.Get(ref, opts...)
	if err != nil {
		tr.note("pull", "", err)
		return tr
	}
	tr.note("pull", fmt.Sprint(got.Digest, got.MediaType == types.DockerManifestSchema2), nil)
	pulled, err := got.Image()
	tr.note("the manifest", "", err)
	layers, err := pulled.Layers()
	tr.note("the layers", len(layers), err)
	var sizes []int
	for _, layer := range layers {
		rc, err := layer.Compressed()
		if err != nil {
			tr.note("a layer", "", err)
			continue
		}
		var b bytes.Buffer
		_, err = io.Copy(&b, rc)
		rc.Close()
		tr.note("a layer", sha256Hex(b.String()), err)
		sizes = append(sizes, b.Len())
	}
	tr.note("sizes", sizes, nil)
	tags, err := remote.List(ref.Context(), opts...)
	tr.note("tags", tags, err)
	tr.note("a tag", "", remote.Tag(ref.Context().Tag("v2"), img, opts...))
	tags, err = remote.List(ref.Context(), append(opts, remote.WithPageSize(1))...)
	tr.note("tags, one a page", tags, err)
	reg, _ := name.NewRegistry(w.host(), name.Insecure)
	catalog, err := remote.Catalog(t.Context(), reg, opts...)
	tr.note("catalog", catalog, err)
	head, err := remote.Head(ref, opts...)
	tr.note("head", fmt.Sprint(head), err)
	_, err = remote.Get(ref.Context().Tag("absent"), opts...)
	tr.refusal("a tag that is not there", err)
	return tr
}
