/* SPDX-License-Identifier: MIT */
/* The HTTPClient object, asynchronous: two requests at once, told of as they go. */
#include <stdio.h>
#include <xhr/xhr.h>

static void onreadystatechange(struct xhr_request *request,
                               const struct xhr_ready_state_event *event,
                               void *user)
{
    (void)user;
    (void)printf("%s: %s\n", xhr_request_location(request), xhr_ready_state_name(event->state));
}

static void onload(struct xhr_request *request, void *user)
{
    size_t len;

    (void)user;
    (void)xhr_request_response_body(request, &len);
    (void)printf("%s: %d, %zu bytes\n", xhr_request_location(request),
                 xhr_request_status(request), len);
}

static void onerror(struct xhr_request *request, const struct xhr_error *error, void *user)
{
    *(int *)user = 1;
    (void)printf("%s: %s: %s\n", xhr_request_location(request), error->name, error->text);
}

int main(int argc, char **argv)
{
    struct xhr_callbacks callbacks = {.size = sizeof(callbacks),
                                      .onreadystatechange = onreadystatechange,
                                      .onload = onload,
                                      .onerror = onerror};
    struct xhr_request *requests[8];
    struct xhr_client *client;
    int n = argc - 1 < 8 ? argc - 1 : 8;
    int failed = 0;

    if (xhr_client_new(NULL, &client) < 0)
        return 1;
    for (int i = 0; i < n; i++) {
        if (xhr_request_new(client, &requests[i]) < 0)
            return 1;
        if (xhr_request_set_callbacks(requests[i], &callbacks, &failed) < 0 ||
            xhr_request_open(requests[i], "GET", argv[i + 1], true) < 0 ||
            xhr_request_set_header(requests[i], "Accept", "text/html") < 0 ||
            xhr_request_send(requests[i], NULL) < 0)
            failed = 1;
    }
    while (xhr_client_in_flight(client) > 0 && xhr_client_wait(client, -1) >= 0)
        continue;
    for (int i = 0; i < n; i++)
        xhr_request_free(requests[i]);
    xhr_client_free(client);
    return failed;
}
