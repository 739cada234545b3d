// Command dns answers for the names of Services, SERVICE.NAMESPACE.svc.cluster.local, as the DNS specification of
// Kubernetes says (version 1.1.0, A records): with the address of the Service, or of a headless one with those of its
// endpoints. It knows no other names and asks nobody else: the cluster has no way out.
package main

import (
	"errors"
	"flag"
	"log"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	zone = "svc.cluster.local."
	// Seconds that an answer may be kept; pods come and go.
	ttl = 2
	// Of a message over UDP without EDNS (RFC 1035, section 4.2.1). What is larger is cut and says so.
	largest = 512
)

type directory struct {
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how the API server is reached")
	listen := flag.String("listen", "127.0.0.1:53", "where questions come in, by UDP and TCP")
	flag.Parse()
	if err := serve(*kubeconfig, *listen); err != nil {
		log.Fatal(err)
	}
}

func serve(kubeconfig, listen string) error {
	names, err := watch(kubeconfig)
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", listen)
	if err != nil {
		return err
	}
	streams, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	log.Printf("answering at %s", listen)
	go acceptStreams(streams, names)
	question := make([]byte, 4096)
	for {
		n, from, err := packets.ReadFrom(question)
		if err != nil {
			return err
		}
		if answer, err := names.answer(question[:n], largest); err == nil {
			_, _ = packets.WriteTo(answer, from)
		}
	}
}

// watch follows Services and their endpoints; it returns once it knows them all.
func watch(kubeconfig string) (*directory, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	names := &directory{
		services: factory.Core().V1().Services().Lister(),
		slices:   factory.Discovery().V1().EndpointSlices().Lister(),
	}
	forever := make(chan struct{})
	factory.Start(forever)
	factory.WaitForCacheSync(forever)
	return names, nil
}

func acceptStreams(streams net.Listener, names *directory) {
	for {
		stream, err := streams.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer stream.Close()
			_ = answerStream(stream, names)
		}()
	}
}

func (names *directory) answer(question []byte, limit int) ([]byte, error) {
	var asked dnsmessage.Message
	if err := asked.Unpack(question); err != nil {
		return nil, err
	}
	if len(asked.Questions) != 1 {
		return nil, errors.New("one question, please")
	}
	one := asked.Questions[0]
	answer := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID:                 asked.ID,
			Response:           true,
			Authoritative:      true,
			RecursionDesired:   asked.RecursionDesired,
			RecursionAvailable: true,
		},
		Questions: asked.Questions,
	}
	addresses, known := names.lookup(one.Name.String())
	if !known {
		answer.RCode = dnsmessage.RCodeNameError
	}
	if one.Type == dnsmessage.TypeA {
		for _, address := range addresses {
			answer.Answers = append(answer.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: one.Name, Type: one.Type, Class: one.Class, TTL: ttl},
				Body:   &dnsmessage.AResource{A: address.As4()},
			})
		}
	}
	packed, err := answer.Pack()
	if err == nil && limit > 0 && len(packed) > limit {
		answer.Truncated, answer.Answers = true, nil
		packed, err = answer.Pack()
	}
	return packed, err
}

// lookup gives the addresses of a name, and whether there is such a name at all.
func (names *directory) lookup(name string) ([]netip.Addr, bool) {
	parts := strings.SplitN(strings.ToLower(name), ".", 3)
	if len(parts) != 3 || parts[2] != zone {
		return nil, false
	}
	service, err := names.services.Services(parts[1]).Get(parts[0])
	if err != nil {
		return nil, false
	}
	if service.Spec.ClusterIP != core.ClusterIPNone {
		return versionFour([]string{service.Spec.ClusterIP}), true
	}
	return names.endpoints(service), true
}

func (names *directory) endpoints(service *core.Service) []netip.Addr {
	selector := labels.SelectorFromSet(labels.Set{discovery.LabelServiceName: service.Name})
	slices, err := names.slices.EndpointSlices(service.Namespace).List(selector)
	if err != nil {
		return nil
	}
	var found []netip.Addr
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			// Unknown counts as ready. A Service that publishes what is not ready has it marked as ready.
			if ready := endpoint.Conditions.Ready; ready == nil || *ready {
				found = append(found, versionFour(endpoint.Addresses)...)
			}
		}
	}
	return found
}

func versionFour(texts []string) []netip.Addr {
	var found []netip.Addr
	for _, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil && address.Is4() {
			found = append(found, address)
		}
	}
	return found
}
