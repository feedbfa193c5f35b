/** What programs import. */

export { DomainDisk, type DomainDiskArgs } from "./domain-disk/resource.js";
export type { DiskReport, LayerReport } from "./migration/report.js";
export { MirroredSnapshot, type MirroredSnapshotArgs, type SnapshotReport } from "./mirrored-snapshot/resource.js";
export { Provider, type ProviderArgs } from "./provider-resource.js";
export { StorageMigration, type StorageMigrationArgs } from "./storage-migration/resource.js";
