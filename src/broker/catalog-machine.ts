/** The state machine of group 0: committed commands go into the catalog's state, and everybody who cares hears of it. */
import type { Entry } from '../model/entry.ts';
import { InvariantViolation } from '../model/assert.ts';
import type { StateChange, StatePair } from '../model/raft-state.ts';
import type { CommandMachine } from '../raft/group.ts';
import type { RoleState } from '../raft/core/ready.ts';
import type { CatalogCommand } from './catalog-commands.ts';
import { decodeCommand } from './catalog-commands.ts';
import { CatalogState } from './catalog-state.ts';

export interface CatalogListener {
  /** A command took effect. `before` tells what it replaced or removed. */
  applied(command: CatalogCommand): void;
  /** Everything up to the group's applied index has taken effect. */
  advanced(): void;
  /** A leader's snapshot took the place of everything: what differs from before is not told one by one. */
  replaced(): void;
  roleChanged(role: RoleState): void;
  quarantined(reason: string): void;
}

export class CatalogMachine implements CommandMachine {
  readonly kind = 'commands';
  /** As applied; another object after a snapshot. */
  state = new CatalogState();
  /** What a snapshot brings, while it is being loaded. */
  #incoming: CatalogState | null = null;
  readonly #listener: CatalogListener;

  constructor(listener: CatalogListener) {
    this.#listener = listener;
  }

  reset(): void {
    this.#incoming = new CatalogState();
  }

  load(page: readonly StatePair[]): void {
    const state = this.#incoming ?? this.state;
    for (const pair of page) state.load(pair);
  }

  loaded(): void {
    if (this.#incoming === null) return;
    this.state = this.#incoming;
    this.#incoming = null;
    this.#listener.replaced();
  }

  apply(entry: Entry): readonly StateChange[] {
    switch (entry.kind) {
      case 'command': {
        const command = decodeCommand(entry.payload);
        const changes = this.state.replay(command);
        this.#listener.applied(command);
        return changes;
      }
      case 'no-op':
      case 'configuration':
        return [];
      case 'batch':
      case 'log-start':
      case 'fence':
        throw new InvariantViolation('catalog-1: every command is known', `a ${entry.kind} entry in the catalog`);
    }
  }

  committed(): void {
    this.#listener.advanced();
  }

  roleChanged(role: RoleState): void {
    this.#listener.roleChanged(role);
  }

  quarantined(reason: string): void {
    this.#listener.quarantined(reason);
  }
}
