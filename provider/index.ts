/** What programs import. */

export type { SnapshotStatus } from "./flows/mirrored-snapshot/status.js";
export type { DiskReport } from "./flows/move/report.js";
export type { LayerReport } from "./flows/shared/chain-report.js";
export type { DiskStatus } from "./flows/shared/status.js";
export { DomainDisk, type DomainDiskArgs } from "./resources/domain-disk/resource.js";
export { MirroredSnapshot, type MirroredSnapshotArgs, type SnapshotReport } from "./resources/mirrored-snapshot/resource.js";
export { Provider, type ProviderArgs } from "./resources/provider.js";
export { StorageMigration, type StorageMigrationArgs } from "./resources/storage-migration/resource.js";
