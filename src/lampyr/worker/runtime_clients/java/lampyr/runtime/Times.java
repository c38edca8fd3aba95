package lampyr.runtime;

import java.math.BigDecimal;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.Year;
import java.time.YearMonth;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeParseException;
import java.util.Calendar;
import java.util.Date;
import java.util.List;

/** Dates and times, as Jackson and its module for `java.time` read and write them by default. */
final class Times {
    /** Events count in seconds what is no number of milliseconds of any year in use. */
    private static final long SECONDS_MOST = 100_000_000_000L;
    private static final int NANO_DIGITS = 9;

    private Times() {
    }

    static boolean isTime(Class<?> type) {
        return Date.class.isAssignableFrom(type) || Calendar.class.isAssignableFrom(type)
                || type.getName().startsWith("java.time.");
    }

    /** Null when the type has to be made from a string by itself. */
    static Object read(Object node, Class<?> type, boolean event) {
        if (Date.class.isAssignableFrom(type) || Calendar.class.isAssignableFrom(type)) {
            return legacy(millis(node, type, event), type);
        }
        if (node instanceof Number) {
            return numeric((Number) node, type);
        }
        if (node instanceof List) {
            return fields((List<?>) node, type);
        }
        return null;
    }

    private static Object legacy(Long millis, Class<?> type) {
        if (millis == null) {
            return null;
        }
        if (Calendar.class.isAssignableFrom(type)) {
            Calendar calendar = Calendar.getInstance();
            calendar.setTimeInMillis(millis);
            return calendar;
        }
        if (type == Date.class) {
            return new Date(millis);
        }
        try {
            return type.getConstructor(long.class).newInstance(millis);
        } catch (ReflectiveOperationException error) {
            throw new JsonException("Cannot construct instance of `" + type.getName() + "`", error);
        }
    }

    private static Long millis(Object node, Class<?> type, boolean event) {
        if (node instanceof Decimal) {
            return ((Decimal) node).exact().movePointRight(3).longValue();
        }
        if (node instanceof Number) {
            long value = ((Number) node).longValue();
            return event && Math.abs(value) < SECONDS_MOST ? value * 1000 : value;
        }
        if (!(node instanceof String)) {
            throw Scalars.mismatch(node, type);
        }
        String text = ((String) node).trim();
        return text.isEmpty() ? null : (Long) instant(text, type).toEpochMilli();
    }

    private static Instant instant(String text, Class<?> type) {
        try {
            if (text.indexOf('T') < 0) {
                return LocalDate.parse(text).atStartOfDay(ZoneOffset.UTC).toInstant();
            }
            String zoned = text.endsWith("Z") || text.lastIndexOf('+') > 0 || text.lastIndexOf('-') > text.indexOf('T')
                    ? text.replaceFirst("([+-]\\d\\d)(\\d\\d)$", "$1:$2") : text + "Z";
            return OffsetDateTime.parse(zoned).toInstant();
        } catch (DateTimeParseException error) {
            throw new JsonException("Cannot deserialize value of type `" + type.getName()
                    + "` from String \"" + text + "\": not a valid representation", error);
        }
    }

    private static Object numeric(Number node, Class<?> type) {
        BigDecimal value = node instanceof Decimal ? ((Decimal) node).exact() : new BigDecimal(node.toString());
        long seconds = value.toBigInteger().longValue();
        long nanos = value.subtract(new BigDecimal(seconds)).movePointRight(NANO_DIGITS).longValue();
        if (type == Instant.class) {
            return Instant.ofEpochSecond(seconds, nanos);
        }
        if (type == OffsetDateTime.class) {
            return Instant.ofEpochSecond(seconds, nanos).atOffset(ZoneOffset.UTC);
        }
        if (type == ZonedDateTime.class) {
            return Instant.ofEpochSecond(seconds, nanos).atZone(ZoneOffset.UTC);
        }
        if (type == Duration.class) {
            return Duration.ofSeconds(seconds, nanos);
        }
        if (type == Year.class) {
            return Year.of((int) seconds);
        }
        if (type == LocalDate.class) {
            return LocalDate.ofEpochDay(seconds);
        }
        throw Scalars.mismatch(node, type);
    }

    private static Object fields(List<?> node, Class<?> type) {
        int[] values = new int[7];
        for (int index = 0; index < node.size(); index++) {
            if (index == values.length || !(node.get(index) instanceof Integer)) {
                throw Scalars.mismatch(node, type);
            }
            values[index] = (Integer) node.get(index);
        }
        if (type == LocalDate.class) {
            return LocalDate.of(values[0], values[1], values[2]);
        }
        if (type == LocalDateTime.class) {
            return LocalDateTime.of(values[0], values[1], values[2], values[3], values[4], values[5], values[6]);
        }
        if (type == LocalTime.class) {
            return LocalTime.of(values[0], values[1], values[2], values[3]);
        }
        if (type == YearMonth.class) {
            return YearMonth.of(values[0], values[1]);
        }
        throw Scalars.mismatch(node, type);
    }

    static void write(Object value, JsonWriter json) {
        if (value instanceof Date) {
            json.raw(Long.toString(((Date) value).getTime()));
        } else if (value instanceof Calendar) {
            json.raw(Long.toString(((Calendar) value).getTimeInMillis()));
        } else if (value instanceof Instant) {
            seconds(((Instant) value).getEpochSecond(), ((Instant) value).getNano(), json);
        } else if (value instanceof OffsetDateTime) {
            write(((OffsetDateTime) value).toInstant(), json);
        } else if (value instanceof ZonedDateTime) {
            write(((ZonedDateTime) value).toInstant(), json);
        } else if (value instanceof Duration) {
            seconds(((Duration) value).getSeconds(), ((Duration) value).getNano(), json);
        } else if (value instanceof Year) {
            json.raw(value.toString());
        } else if (value instanceof LocalDate) {
            json.begin('[');
            date((LocalDate) value, json);
            json.end(']');
        } else if (value instanceof LocalDateTime) {
            json.begin('[');
            date(((LocalDateTime) value).toLocalDate(), json);
            time(((LocalDateTime) value).toLocalTime(), json);
            json.end(']');
        } else if (value instanceof LocalTime) {
            json.begin('[');
            time((LocalTime) value, json);
            json.end(']');
        } else if (value instanceof YearMonth) {
            json.begin('[');
            json.raw(Integer.toString(((YearMonth) value).getYear()));
            json.raw(Integer.toString(((YearMonth) value).getMonthValue()));
            json.end(']');
        } else {
            json.string(value.toString());
        }
    }

    private static void seconds(long seconds, int nanos, JsonWriter json) {
        json.raw(new BigDecimal(seconds).add(BigDecimal.valueOf(nanos, NANO_DIGITS)).toPlainString());
    }

    private static void date(LocalDate date, JsonWriter json) {
        json.raw(Integer.toString(date.getYear()));
        json.raw(Integer.toString(date.getMonthValue()));
        json.raw(Integer.toString(date.getDayOfMonth()));
    }

    private static void time(LocalTime time, JsonWriter json) {
        json.raw(Integer.toString(time.getHour()));
        json.raw(Integer.toString(time.getMinute()));
        if (time.getSecond() > 0 || time.getNano() > 0) {
            json.raw(Integer.toString(time.getSecond()));
            if (time.getNano() > 0) {
                json.raw(Integer.toString(time.getNano()));
            }
        }
    }
}
