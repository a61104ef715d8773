// Manifests on standard input -> a line for each that the API server would not take: a kind, field or type that its own types do
// not have, and what its own validation says of the rest. Exit code 1 where there is one. scripts/install-tools builds it.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/rbac"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	rbacvalidation "k8s.io/kubernetes/pkg/apis/rbac/validation"
)

func main() {
	scheme := legacyscheme.Scheme
	utilruntime.Must(monitoringv1.AddToScheme(scheme))
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
		var object runtime.Object
		if err == nil {
			seen++
			object, _, err = serializer.Decode(document, nil, nil)
		}
		if err == nil {
			err = validate(scheme, object)
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

// validate says what the API server would, of an object in the version that it was written in.
func validate(scheme *runtime.Scheme, object runtime.Object) error {
	switch object.(type) {
	// The operator's own: their types are all that there is to hold them to.
	case *monitoringv1.ServiceMonitor, *monitoringv1.PrometheusRule:
		return nil
	}
	scheme.Default(object)
	internal, err := scheme.ConvertToVersion(object, runtime.InternalGroupVersioner)
	if err != nil {
		return err
	}
	var list field.ErrorList
	switch object := internal.(type) {
	case *apps.DaemonSet:
		options := pod.GetValidationOptionsFromPodTemplate(&object.Spec.Template, nil)
		list = appsvalidation.ValidateDaemonSet(object, options)
	case *core.ConfigMap:
		list = corevalidation.ValidateConfigMap(object)
	case *core.Service:
		// As the server does before it looks.
		object.Spec.ClusterIPs = []string{object.Spec.ClusterIP}
		list = corevalidation.ValidateServiceCreate(object)
	case *core.ServiceAccount:
		list = corevalidation.ValidateServiceAccount(object)
	case *rbac.ClusterRole:
		list = rbacvalidation.ValidateClusterRole(object, rbacvalidation.ClusterRoleValidationOptions{})
	case *rbac.ClusterRoleBinding:
		list = rbacvalidation.ValidateClusterRoleBinding(object)
	default:
		return fmt.Errorf("nothing here knows what a valid %T is", object)
	}
	return list.ToAggregate()
}
