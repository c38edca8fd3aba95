// The smallest function: an answer, and a line in the log.
export const handler = async (event, context) => {
  const name = event.name ?? "world";
  console.log("hello,", name);
  return { hello: name, request_id: context.awsRequestId };
};
