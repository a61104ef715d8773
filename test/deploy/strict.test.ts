// The manifests are the Kubernetes API's: its own types take each object with every field, and its own validation finds no fault. So
// it is with every value that the chart has, and each of them changes something.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { describeWith, HELM, refused, renderText, STRICT } from './support.ts';

/** Of each value another one, as `--set` takes it; then what it takes for it to be used. */
const OTHERS: readonly (readonly [value: string, ...needs: string[]])[] = [
  ['image.repository=registry.example:5000/selvedge'],
  ['image.tag=1.2.3'],
  ['image.pullPolicy=Always'],
  ['dataplane=bpf'],
  ['pending=closed'],
  ['notPods[0]=docker0'],
  ['judgeOwnNode=true'],
  ['events=all'],
  ['eventLimit=5'],
  ['logLevel=debug'],
  ['healthHost=127.0.0.1'],
  ['healthPort=9000'],
  ['metricsDetail=true'],
  ['cni.enabled=true'],
  ['cni.confDir=/other/net.d', 'cni.enabled=true'],
  ['cni.binDir=/other/bin', 'cni.enabled=true'],
  ['cni.timeout=3', 'cni.enabled=true'],
  ['cni.onAgentDown=open', 'cni.enabled=true'],
  ['sysAdmin=true'],
  ['resources.requests.cpu=50m'],
  ['resources.requests.memory=64Mi'],
  ['resources.limits.memory=2Gi'],
  ['nodeSelector.kubernetes\\.io/os=other'],
  ['tolerations[0].key=dedicated'],
  ['priorityClassName=system-cluster-critical'],
  ['cleanup=true'],
  ['serviceMonitor.enabled=true'],
  ['serviceMonitor.interval=10s', 'serviceMonitor.enabled=true'],
  ['serviceMonitor.labels.release=one', 'serviceMonitor.enabled=true'],
  ['alerts.enabled=true'],
  ['alerts.labels.release=one', 'alerts.enabled=true'],
  ['dashboard.enabled=true'],
  ['dashboard.labels.grafana_dashboard=two', 'dashboard.enabled=true'],
];

/** Paths of the values that hold no others. */
function leavesOf(value: unknown, path = ''): string[] {
  const isTree = typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;
  if (!isTree) return [path];
  return Object.entries(value).flatMap(([key, inner]) => {
    return leavesOf(inner, `${path}${path && '.'}${key.replaceAll('.', '\\.')}`);
  });
}

describeWith(STRICT && HELM, 'the API server takes', () => {
  const strict = STRICT ?? '';
  const helm = HELM ?? '';

  test.each(['deploy/selvedge.yaml', 'deploy/cleanup.yaml'])('%s', (file) => {
    expect(refused(strict, readFileSync(file, 'utf8'))).toBe('');
  });

  test('every value of the chart is tried here', () => {
    const values: unknown = parse(readFileSync('deploy/chart/values.yaml', 'utf8'));
    const tried = OTHERS.map(([value]) => value.replace(/(\[0\](\.key)?|\.release)?=.*$/, ''));
    expect(tried).toEqual(leavesOf(values));
  });

  test.each(OTHERS)('what the chart gives for %s, which changes something', (value, ...needs) => {
    const [without, given] = [needs, [value, ...needs]].map((set) => renderText(helm, set));
    expect(given).not.toBe(without);
    expect(refused(strict, given ?? '')).toBe('');
    // The oldest that the chart is for.
    expect(refused(strict, renderText(helm, [value, ...needs], '1.25.0'))).toBe('');
  });

  test('all of it at once', () => {
    const all = ['cni', 'serviceMonitor', 'alerts', 'dashboard'].map((part) => `${part}.enabled=true`);
    expect(refused(strict, renderText(helm, all))).toBe('');
  });

  test.each([
    ['a field that it does not have', 'hostNetwork:', 'hostNetwrk:', 'unknown field "spec.template.spec.hostNetwrk"'],
    ['an update of no node at a time', 'maxUnavailable: 1', 'maxUnavailable: 0', 'cannot be 0'],
    ['a host port that is not the container’s', 'hostPort: 9971', 'hostPort: 9972', 'must match `containerPort`'],
    ['a mount without a volume', 'name: bpffs, mountPath', 'name: nothing, mountPath', 'Not found: "nothing"'],
  ])('but not %s', (_what, right, wrong, said) => {
    const text = readFileSync('deploy/selvedge.yaml', 'utf8');
    expect(text).toContain(right);
    expect(refused(strict, text.replace(right, wrong))).toContain(said);
  });

  test('nor a rule for Prometheus with a field that the operator does not have', () => {
    const text = renderText(helm, ['alerts.enabled=true']);
    expect(refused(strict, text.replace('annotations:', 'anotations:'))).toContain('anotations');
  });
});
