{# A table as the last build left it, or none. Not ref(): who asks runs before the table is brought up to date. #}
{% macro built_relation(name, schema='marts') %}
    {{ return(adapter.get_relation(target.database, schema, name) if execute else none) }}
{% endmacro %}
