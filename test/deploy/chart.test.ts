// The chart, by helm where there is one: the plain manifests are its own, and each option gives what it says.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { describeWith, HELM, only, readManifests, render } from './support.ts';

describeWith(HELM, 'the chart', (helm) => {
  const agentOf = (values: readonly string[], kubernetes?: string) => {
    return only(render(helm, values, kubernetes), 'DaemonSet').spec.template;
  };

  test('gives the plain manifests', () => {
    expect(() =>
      execFileSync('scripts/render-manifests', ['--check'], { env: { ...process.env, HELM: helm }, stdio: 'pipe' }),
    ).not.toThrow();
    expect(render(helm, [])).toEqual(readManifests('selvedge.yaml'));
    expect(render(helm, ['cleanup=true'])).toEqual(readManifests('cleanup.yaml'));
  });

  test.each([
    ['dataplane=ipset', '--dataplane=ipset'],
    ['pending=closed', '--pending=closed'],
    ['notPods={docker0,br-*}', 'br-*'],
    ['judgeOwnNode=true', '--judge-own-node'],
    ['events=all', '--events=all'],
    ['eventLimit=0', '--event-limit=0'],
    ['eventLimit=4294967295', '--event-limit=4294967295'],
    ['logLevel=debug', '--log-level=debug'],
    ['healthPort=9000', '--health-address=:9000'],
    ['healthHost=0.0.0.0', '--health-address=0.0.0.0:9971'],
    ['healthHost=[::1]', '--health-address=[::1]:9971'],
    ['metricsDetail=true', '--metrics-detail'],
  ])('%s is %s', (value, argument) => {
    expect(agentOf([value]).spec.containers[0].args).toContain(argument);
  });

  test.each([
    ['', {}],
    ['0.0.0.0', {}],
    ['[::]', {}],
    ['127.0.0.1', { host: '127.0.0.1' }],
    ['[::1]', { host: '::1' }],
  ])('the kubelet asks where the agent listens: healthHost=%s', (healthHost, host) => {
    const [{ livenessProbe, readinessProbe }] = agentOf([`healthHost=${healthHost}`]).spec.containers;
    expect(livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'health', ...host });
    expect(readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'health', ...host });
  });

  test('image.repository and image.tag name the image', () => {
    const { spec } = agentOf(['image.repository=registry.example/selvedge', 'image.tag=1.2.3']);
    expect(spec.containers[0].image).toBe('registry.example/selvedge:1.2.3');
  });

  test('cni.enabled puts the plugin where the node has its own', () => {
    const { spec } = agentOf(['cni.enabled=true', 'cni.confDir=/k3s/net.d', 'cni.timeout=7', 'cni.onAgentDown=open']);
    const [{ args, volumeMounts }] = spec.containers;
    expect(args.slice(-4)).toEqual([
      '--cni-conf-dir=/k3s/net.d',
      '--cni-bin-dir=/opt/cni/bin',
      '--cni-timeout=7',
      '--cni-on-agent-down=open',
    ]);
    expect(volumeMounts.map(({ mountPath }) => mountPath).slice(-2)).toEqual(['/k3s/net.d', '/opt/cni/bin']);
    expect(spec.volumes.map(({ hostPath }) => hostPath.path).slice(-2)).toEqual(['/k3s/net.d', '/opt/cni/bin']);
  });

  test('dataplane and sysAdmin choose the capabilities', () => {
    const added = (values: readonly string[]) => agentOf(values).spec.containers[0].securityContext.capabilities.add;
    expect(added(['dataplane=bpf'])).toEqual(['NET_ADMIN', 'NET_BROADCAST', 'BPF', 'PERFMON']);
    expect(added(['sysAdmin=true'])).toEqual(['NET_ADMIN', 'NET_BROADCAST', 'SYS_ADMIN', 'NET_RAW']);
  });

  test('AppArmor is told in the words of the server’s version', () => {
    const old = agentOf([], '1.27.0');
    expect(old.spec.containers[0].securityContext).not.toHaveProperty('appArmorProfile');
    expect(old.metadata.annotations).toEqual({
      'container.apparmor.security.beta.kubernetes.io/agent': 'unconfined',
    });
    expect(agentOf([]).spec.containers[0].securityContext.appArmorProfile).toEqual({ type: 'Unconfined' });
  });

  test('monitoring has the alerts and the dashboard of deploy/', () => {
    const values = [
      'serviceMonitor.enabled=true',
      'alerts.enabled=true',
      'alerts.labels.release=p',
      'dashboard.enabled=true',
    ];
    const all = render(helm, values);
    expect(only(all, 'ServiceMonitor').apiVersion).toBe('monitoring.coreos.com/v1');
    expect(only(all, 'Service').spec).toMatchObject({ clusterIP: 'None' });
    expect(only(all, 'PrometheusRule').spec).toEqual(parse(readFileSync('deploy/alerts/selvedge.yaml', 'utf8')));
    const dashboard = only(all, 'ConfigMap').data?.['selvedge.json'] ?? '';
    expect(JSON.parse(dashboard)).toEqual(JSON.parse(readFileSync('deploy/dashboard/selvedge.json', 'utf8')));
  });

  test('cleanup=true leaves no agent, and no rights at the API server', () => {
    expect(render(helm, ['cleanup=true']).map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
      'DaemonSet selvedge-cleanup',
    ]);
  });

  test.each([
    'dataplane=nftables',
    'healthPort=70000',
    'cni.timeout=0',
    'eventLimit=-1',
    'notPods=docker0',
    'colour=blue',
    'cni.confDir=net.d',
  ])('the schema refuses %s', (value) => {
    expect(() => render(helm, [value])).toThrow(/values don't meet the specifications of the schema/);
  });
});
