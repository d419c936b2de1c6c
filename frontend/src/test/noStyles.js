// Style sheets of libraries have no effect in tests.
module.exports = {};
