/* SPDX-License-Identifier: MIT */
#include <xhr/xhr.h>

int main(void)
{
    struct xhr_client *client;

    return xhr_client_new(NULL, &client);
}
