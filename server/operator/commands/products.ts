import { Command } from 'commander';
import { homeOf, readCeremony } from '@tidegate/signer/commands';
import type { CommandContext } from './context.ts';
import { type CommonOptions, newCommand, run } from './run.ts';
import { table } from './table.ts';

interface Product {
  id: string;
  hardware: string[];
  roleVersion: number;
  releases: number;
  chargers: number;
}

/** Stands beside the signer's `product add`. */
export function productCommand(context: CommandContext): Command {
  const list = newCommand('list', 'List published products', ['product list', 'product list --json']).action(
    (options: CommonOptions) =>
      run(context, options, async ({ service }) => {
        const { items } = await service.get<{ items: Product[] }>('/products');
        const added = await hardwareAdded(context);
        const rows = items.map((one) => [
          one.id,
          hardwareWords(one, added),
          one.roleVersion,
          one.releases,
          one.chargers,
        ]);
        return {
          json: { products: items },
          lines:
            rows.length === 0
              ? [
                  'No products yet. Add one with: tidegate product add <id> --hardware <id>, then tidegate publish',
                ]
              : table(['PRODUCT', 'HARDWARE', 'ROLE', 'RELEASES', 'CHARGERS'], rows),
        };
      }),
  );
  return new Command('product').description('Products: add, list').addCommand(list);
}

/** Hardware by product as `product add` was told on this machine; the service knows it from releases only. */
async function hardwareAdded(context: CommandContext): Promise<Record<string, string[]>> {
  const ceremony = await readCeremony(homeOf(context)).catch(() => undefined);
  const products = Object.entries(ceremony?.products ?? {});
  return Object.fromEntries(products.map(([id, { hardware }]) => [id, hardware]));
}

function hardwareWords({ id, hardware }: Product, added: Record<string, string[]>): string {
  if (hardware.length > 0) return hardware.join(', ');
  const planned = added[id]?.join(', ');
  return planned === undefined ? 'no release yet' : `${planned} (no release yet)`;
}
