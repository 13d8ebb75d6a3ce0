/** The messages and services of the contract. */
export * from "./v1/scotoma/v1/benchmark_service_pb.js";
export * from "./v1/scotoma/v1/inference_service_pb.js";
export * from "./v1/scotoma/v1/intervention_pb.js";
export * from "./v1/scotoma/v1/model_service_pb.js";
