/** Changes -> the same, with a warning for as long as nothing that was seen names this node: a name mistyped enforces nothing. */
import { defer, map, type Observable } from 'rxjs';
import { type ClusterChange, type ClusterObject, keyOf, type Warning } from '../../model/cluster.ts';

export function warnUnlessNamed(node: string, source: Observable<ClusterChange>): Observable<ClusterChange> {
  return defer(() => {
    const naming = new Set<string>();
    const warning: Warning = {
      object: `Node ${node}`,
      field: '',
      message: 'no Node of the manifests is this one, and no pod is on it: the agent takes no pod for its own',
    };
    return source.pipe(
      map((change) => {
        for (const event of change.events) {
          if (event.type === 'delete') naming.delete(`${event.kind} ${event.key}`);
          else if (names(event.object, node)) naming.add(`${event.object.kind} ${keyOf(event.object)}`);
          else naming.delete(`${event.object.kind} ${keyOf(event.object)}`);
        }
        if (!change.synced || naming.size > 0) return change;
        return { ...change, warnings: [...change.warnings, warning] };
      }),
    );
  });
}

function names(object: ClusterObject, node: string): boolean {
  return (object.kind === 'Node' && object.name === node) || (object.kind === 'Pod' && object.node === node);
}
