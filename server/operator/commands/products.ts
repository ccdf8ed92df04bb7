import { Command } from 'commander';
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
  const list = newCommand('list', 'List published products', ['product list']).action(
    (options: CommonOptions) =>
      run(context, options, async ({ service }) => {
        const { items } = await service.get<{ items: Product[] }>('/products');
        const rows = items.map((one) => [
          one.id,
          one.hardware.join(', '),
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
