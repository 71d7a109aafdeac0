"""The MCP driver: the tools of one MCP server, offered to agents as tools of a driver."""
