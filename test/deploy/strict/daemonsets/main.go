// Command daemonsets is the DaemonSet controller of Kubernetes by itself: `daemonsets KUBECONFIG`. scripts/test-apiserver builds it.
package main

import (
	"context"
	"os"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/kubernetes/pkg/controller/daemon"
)

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	if err != nil {
		panic(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	shared := informers.NewSharedInformerFactory(client, 0)
	apps, core := shared.Apps().V1(), shared.Core().V1()
	ctx := context.Background()
	backoff := flowcontrol.NewBackOff(time.Second, time.Minute)
	controller, err := daemon.NewDaemonSetsController(ctx, apps.DaemonSets(), apps.ControllerRevisions(), core.Pods(), core.Nodes(), client, backoff)
	if err != nil {
		panic(err)
	}
	shared.Start(ctx.Done())
	controller.Run(ctx, 2)
}
