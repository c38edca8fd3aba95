package lampyr.runtime;

/** A function's handler, whatever its form: bytes in, bytes out. */
interface Handler {
    void handle(byte[] event, Buffer response, LambdaContext context) throws Throwable;
}
