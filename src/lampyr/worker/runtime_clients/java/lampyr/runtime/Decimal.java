package lampyr.runtime;

import java.math.BigDecimal;

/**
 * A number with a fraction or an exponent, as it was written: only the type it is read into says
 * whether a double will do.
 */
final class Decimal extends Number {
    private static final long serialVersionUID = 1L;

    private final String text;

    Decimal(String text) {
        this.text = text;
    }

    BigDecimal exact() {
        return new BigDecimal(text);
    }

    @Override
    public int intValue() {
        return (int) doubleValue();
    }

    @Override
    public long longValue() {
        return (long) doubleValue();
    }

    @Override
    public float floatValue() {
        return Float.parseFloat(text);
    }

    @Override
    public double doubleValue() {
        return Double.parseDouble(text);
    }

    @Override
    public String toString() {
        return text;
    }
}
