declare module "virtual:contract-comments" {
  const comments: import("../build/contract").Comments;
  export default comments;
}

declare module "virtual:samples" {
  const samples: import("../build/samples").Sample[];
  export default samples;
}
