/* Always wrong: has ended before anybody can connect. */
int main(void)
{
    return 0;
}
