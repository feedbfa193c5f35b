/** The engine's resource monitor: takes what the program registers. */

import { ResourceMonitorService } from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import * as messages from "@pulumi/pulumi/proto/resource_pb.js";
import { Empty } from "google-protobuf/google/protobuf/empty_pb.js";
import { goalOf, readGoalOf } from "./goal.js";
import type { Operation } from "./operation.js";
import type { Steps } from "./steps.js";
import { fromStruct, serve, toStruct } from "./wire.js";

/** Of the engine's features the SDK is offered this one: the others change nothing for custom resources. */
const features = ["secrets"];

export function serveMonitor(operation: Operation, steps: Steps): Promise<{ address: string; close(): void }> {
  const { names } = operation.parts;
  return serve(ResourceMonitorService, {
    async supportsFeature(request: messages.SupportsFeatureRequest) {
      return new messages.SupportsFeatureResponse().setHassupport(features.includes(request.getId()));
    },
    async registerResource(request: messages.RegisterResourceRequest) {
      const { urn, id, outputs } = await steps.register(goalOf(names, request));
      return new messages.RegisterResourceResponse().setUrn(urn).setId(id).setObject(toStruct(outputs));
    },
    async readResource(request: messages.ReadResourceRequest) {
      const { urn, outputs } = await steps.read(readGoalOf(names, request));
      return new messages.ReadResourceResponse().setUrn(urn).setProperties(toStruct(outputs));
    },
    async registerResourceOutputs(request: messages.RegisterResourceOutputsRequest) {
      const component = operation.deployment.find(request.getUrn());
      if (component) operation.deployment.put({ ...component, outputs: fromStruct(request.getOutputs()) });
      return new Empty();
    },
    async signalAndWaitForShutdown() {
      return new Empty();
    },
  });
}
