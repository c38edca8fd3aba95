import java.util.Map;

/** The smallest function in Java: events become maps, or objects of a class of your own. */
public class Hello {
    public record Answer(String hello) {
    }

    public Answer handle(Map<String, String> event) {
        String name = event.getOrDefault("name", "world");
        System.out.println("hello, " + name);
        return new Answer(name);
    }
}
