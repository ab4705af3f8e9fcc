import { apiMachinery } from './api.ts';
import { cli } from './cli.ts';
import { controllerMachinery } from './api-machinery.ts';
import { apps } from './apps.ts';
import { auth } from './auth.ts';
import { network } from './network.ts';
import { node } from './node.ts';
import { scheduling } from './scheduling.ts';
import type { Section } from './section.ts';

/** One file for each special interest group of Kubernetes whose names are covered. */
export const sections: Section[] = [apiMachinery, apps, auth, cli, controllerMachinery, network, node, scheduling];
