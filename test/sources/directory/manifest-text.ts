/** Manifests as tests write them, in one line each. */

export const namespace = (name: string, label = 'a'): string =>
  `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${name}, labels: { label: ${label} } }\n`;
export const pod = (name: string, more = ''): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: ${name}, namespace: shop }\n${more}`;
export const policy = (name: string, spec = '{ podSelector: {} }'): string =>
  `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: ${name}, namespace: shop }\nspec: ${spec}\n`;
export const workload = (kind: string, version: string, spec: string): string =>
  `apiVersion: ${version}\nkind: ${kind}\nmetadata: { name: web, namespace: shop }\nspec: ${spec}\n`;
export const template =
  '{ metadata: { labels: { app: web } }, spec: { containers: [{ ports: [{ containerPort: 80 }] }] } }';
