/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <xhr/xhr.h>

int main(int argc, char **argv)
{
    struct xhr_fetch_options options = {.size = sizeof(options),
                                        .url = argc > 1 ? argv[1] : ""};
    struct xhr_response *response;
    int r = xhr_fetch(&options, &response);

    if (r == 0)
        (void)fputs(xhr_response_text(response, NULL), stdout);
    else if (response)
        (void)fprintf(stderr, "%s\n", xhr_response_error(response)->text);
    xhr_response_free(response);
    return r == 0 ? 0 : 1;
}
