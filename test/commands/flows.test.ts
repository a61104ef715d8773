/** `selvedge flows` and its exit codes: what was asked wrongly is 2, also where the agent alone knows. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { folderWith, selvedge } from '../observe/command.ts';

it('a filter that the agent does not take is the user’s to mend', async () => {
  using opened = new DisposableStack();
  const error = { code: 'FLOW_QUERY', message: 'port must be a port, not "abc"' };
  const agent = createServer((_, response) => response.writeHead(400).end(JSON.stringify({ error })));
  opened.defer(() => agent.close());
  const socket = join(folderWith({}), 'agent.sock');
  await once(agent.listen(socket), 'listening');
  const { code, stdout, stderr } = await selvedge(['flows', '--socket', socket, '--port', 'abc']);
  expect({ code, stdout, stderr }).toEqual({
    code: 2,
    stdout: '',
    stderr: 'selvedge: port must be a port, not "abc"\n',
  });
});
