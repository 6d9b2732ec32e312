# stands in for the class of that name
base_do_install() {
    :
}
EXPORT_FUNCTIONS do_install
