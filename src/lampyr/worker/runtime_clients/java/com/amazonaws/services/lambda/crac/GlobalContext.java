package com.amazonaws.services.lambda.crac;

import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * Holds its resources weakly, as the contract of CRaC says: to be registered keeps nothing alive.
 */
final class GlobalContext extends Context<Resource> {
    private final List<WeakReference<Resource>> registered = new ArrayList<>();

    @Override
    public synchronized void register(Resource resource) {
        if (resource == null) {
            throw new NullPointerException("resource");
        }
        registered.removeIf(known -> known.get() == null || known.get() == resource);
        registered.add(new WeakReference<>(resource));
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) throws CheckpointException {
        List<Resource> resources = resources();
        Collections.reverse(resources);
        List<Throwable> failures = new ArrayList<>();
        for (Resource resource : resources) {
            try {
                resource.beforeCheckpoint(this);
            } catch (Exception error) {
                collect(error, error instanceof CheckpointException, failures);
            }
        }
        if (!failures.isEmpty()) {
            CheckpointException all = new CheckpointException();
            failures.forEach(all::addSuppressed);
            throw all;
        }
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) throws RestoreException {
        List<Throwable> failures = new ArrayList<>();
        for (Resource resource : resources()) {
            try {
                resource.afterRestore(this);
            } catch (Exception error) {
                collect(error, error instanceof RestoreException, failures);
            }
        }
        if (!failures.isEmpty()) {
            RestoreException all = new RestoreException();
            failures.forEach(all::addSuppressed);
            throw all;
        }
    }

    /** A nested context's collection is taken apart, so that the causes are all on one level. */
    private static void collect(Throwable error, boolean collection, List<Throwable> failures) {
        if (collection && error.getSuppressed().length > 0) {
            Collections.addAll(failures, error.getSuppressed());
        } else {
            failures.add(error);
        }
    }

    private synchronized List<Resource> resources() {
        List<Resource> alive = new ArrayList<>();
        for (WeakReference<Resource> reference : registered) {
            Resource resource = reference.get();
            if (resource != null) {
                alive.add(resource);
            }
        }
        return alive;
    }
}
