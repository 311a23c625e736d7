/* SPDX-License-Identifier: MIT */
#ifdef HEADER
#include HEADER
#else
#include <xhr/xhr.h>
#endif

int main(void)
{
    struct xhr_client *client;

    return xhr_client_new(NULL, &client);
}
