{#
A table as the last build left it; none if there is no such table. Not ref(), because the calling
model runs before the table is updated.
#}
{% macro built_relation(name, schema='marts') %}
    {{ return(adapter.get_relation(target.database, schema, name) if execute else none) }}
{% endmacro %}
