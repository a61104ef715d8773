// Manifests on standard input -> a line for each that the API's own types do not take: a kind, field or type that they do not
// have. Exit code 1 where there is one. scripts/install-tools builds it.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	scheme := runtime.NewScheme()
	utilruntime.Must(appsv1.AddToScheme(scheme))
	utilruntime.Must(corev1.AddToScheme(scheme))
	utilruntime.Must(rbacv1.AddToScheme(scheme))
	options := json.SerializerOptions{Yaml: true, Strict: true}
	serializer := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, options)
	documents := yaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	seen, refused := 0, 0
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		// Nothing but comments.
		if content, bad := yaml.ToJSON(document); bad == nil && string(content) == "null" {
			continue
		}
		if err == nil {
			seen++
			_, _, err = serializer.Decode(document, nil, nil)
		}
		if err != nil {
			refused++
			fmt.Println(err)
		}
	}
	if refused > 0 || seen == 0 {
		os.Exit(1)
	}
}
