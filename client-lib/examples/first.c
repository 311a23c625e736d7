/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <xhr/xhr.h>

int main(void)
{
    struct xhr_fetch_options options = {.size = sizeof(options), .url = "https://example.com/"};
    struct xhr_response *response;

    if (xhr_fetch(&options, &response) == 0)
        puts(xhr_response_text(response, NULL));
    else
        puts(response ? xhr_response_error(response)->text : "nothing could be asked");
    xhr_response_free(response);
}
